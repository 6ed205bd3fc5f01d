"""What a host's kernel shows of its DPUs, as lines for node feature discovery. Runs on each host; knows no API."""
