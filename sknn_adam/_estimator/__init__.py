"""The code that both estimators share."""
