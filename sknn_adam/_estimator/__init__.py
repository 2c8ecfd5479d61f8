"""Code shared by the classifier and the regressor."""
