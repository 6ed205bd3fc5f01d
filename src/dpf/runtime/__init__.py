"""What every controller shares: the reconcile loop and its parts. It knows no domain."""
