"""What a result is worth: metrics on the test part, the verdict, guards against silent bugs."""
