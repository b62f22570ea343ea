"""A server's web page: three files and the routes that they use."""
