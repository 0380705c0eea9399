"""What is read of the files that users bring: encodings of text, pictures of more than 8 bits, tables of many rows."""
