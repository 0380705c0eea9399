"""What happens above the cut: methods, linear heads, and training in steps."""
