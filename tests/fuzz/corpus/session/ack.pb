¢‡€€€ (d08	B?
id_missing/id is missing; it takes 1 to 256 bytes of UTF-8BL…€€€€€€€€text_too_large/the text is 1048577 bytes; the limit is 1048576