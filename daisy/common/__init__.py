"""What every room uses: how a stage is called, files, audio, seeds, progress."""
