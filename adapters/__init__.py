"""One adapter per framework: each turns an app into route entries plus a fallback."""
