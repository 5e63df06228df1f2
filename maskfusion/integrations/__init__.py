"""Callbacks for trainers, each imported only on use: ``maskfusion.integrations.lightning`` and ``.transformers``."""
