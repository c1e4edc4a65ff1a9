"""Drives aria2c on one machine: takes what stands at its place, reports what becomes of it."""
