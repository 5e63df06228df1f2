"""The application: the paper rebuilt on top of `maskfusion`, on data that ships. Start with README.md."""
