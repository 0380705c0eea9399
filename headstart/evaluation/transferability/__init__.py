"""What `plan` measures before anything is trained: domain similarity, learning curve, gain."""
