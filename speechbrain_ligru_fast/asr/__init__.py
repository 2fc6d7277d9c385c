"""What the speech recognition recipes share."""
