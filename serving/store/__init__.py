"""The store: verified releases on local disk, signatures, the pointer to the one that serves."""
