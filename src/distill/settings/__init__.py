"""Every setting, declared once. No torch here."""
