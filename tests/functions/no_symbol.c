/* A shared library that holds no functions. */
int answer(void) { return 42; }
