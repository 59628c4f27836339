"""What a run leaves behind: transcripts, metrics, start records, spending, summary."""
