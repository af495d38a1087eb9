"""The replayed FastAPI app: ``app.app`` plain and ``app.stacked`` under middleware; one module per subject."""
