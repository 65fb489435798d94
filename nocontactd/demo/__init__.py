"""A world of its own for `nocontact demo` and for the tests: nothing in it reaches beyond loopback."""
