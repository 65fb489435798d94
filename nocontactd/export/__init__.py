"""Evidence for a lawyer: what was chosen, how it is proven, and what it is written on."""
