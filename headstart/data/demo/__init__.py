"""Data that the project makes itself: rendered photos of metal parts and hand-written support tickets."""
