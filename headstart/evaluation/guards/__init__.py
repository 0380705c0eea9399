"""One file a silent bug: it watches one type of value and says what it found."""
