"""The review pages: server-rendered, in Chinese and English, one small script per need."""
