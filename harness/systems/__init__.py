"""One package a job library."""
