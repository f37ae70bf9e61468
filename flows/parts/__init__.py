"""Parts of flows: several tasks in their order, where more than one flow needs them."""
