"""What a training loop needs beside the mask: tracker, loss, schedules, parameter groups."""
