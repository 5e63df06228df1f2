"""Tests of maskfusion."""
