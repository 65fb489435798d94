"""The sealed archive. The half that writes and the half that opens never import each other."""
