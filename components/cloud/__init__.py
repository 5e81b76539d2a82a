"""What machines of every public cloud share: what they are born with, and how they are given their own host key."""
