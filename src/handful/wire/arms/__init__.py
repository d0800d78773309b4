"""One arm each: what the guard commands, in the words of the controller that moves it."""
