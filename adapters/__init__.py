"""One adapter per framework: each turns an app into something the gateway serves faster. Imports fastcore."""
