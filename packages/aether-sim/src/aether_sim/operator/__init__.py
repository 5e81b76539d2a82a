"""Commands of the operator's side that stand in for tools which are not there."""
