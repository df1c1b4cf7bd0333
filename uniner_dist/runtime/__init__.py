"""What a process owes its machine: stopping in order, leaving no children behind, private interfaces in one place."""
