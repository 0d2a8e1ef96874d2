"""Finds fractures on X-rays of hand, leg, hip and shoulder."""
