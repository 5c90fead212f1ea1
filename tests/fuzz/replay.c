/*
 * Runs a fuzz target over every file of the directories given, without libFuzzer: what a corpus
 * once found must stay found. A target that dislikes an input aborts.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay_file(const char *path)
{
	FILE *in = fopen(path, "re");
	struct stat st;

	if (!in || fstat(fileno(in), &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	/* Of the exact size, so that a sanitizer sees a read behind the end. */
	size_t size = (size_t)st.st_size;
	uint8_t *data = malloc(size ? size : 1);
	bool whole = data && fread(data, 1, size, in) == size;
	if (whole)
		LLVMFuzzerTestOneInput(data, size);
	else
		fprintf(stderr, "%s: cannot be read whole\n", path);
	free(data);
	fclose(in);
	return whole;
}

/* The number of files, -1 after a message. */
static long replay_directory(const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);
	long replayed = 0;

	if (count < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	for (int i = 0; i < count; i++) {
		char *file;

		if (entries[i]->d_name[0] != '.' && replayed >= 0) {
			if (asprintf(&file, "%s/%s", path, entries[i]->d_name) < 0)
				abort();
			replayed = replay_file(file) ? replayed + 1 : -1;
			free(file);
		}
		free(entries[i]);
	}
	free(entries);
	return replayed;
}

int main(int argc, char **argv)
{
	long all = 0;

	for (int i = 1; i < argc; i++) {
		long replayed = replay_directory(argv[i]);

		if (replayed < 0)
			return 1;
		all += replayed;
	}
	printf("%s: %ld inputs replayed\n", argv[0], all);
	return all > 0 ? 0 : 1;
}
