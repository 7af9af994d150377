/* The compiler's own: its vector types and those of mingw-w64's headers do not agree. */
