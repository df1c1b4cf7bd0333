"""Keeping workdirs and stores small and lawful: compact the store, prune old runs, forget documents."""
