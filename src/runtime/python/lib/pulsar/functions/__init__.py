"""The interfaces of functions: function, context and serde."""
