/* An image of any bytes, with its size and checksum made right, as an attacker would leave it. */
#include <stdlib.h>
#include <string.h>

#include "resolver/pick.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask_owners(const struct crow_image *img, const struct crow_addr *addr, uint16_t port)
{
	struct crow_owner owner;

	for (uint32_t probe = 0; crow_image_next_owner(img, addr, port, &probe, &owner);)
		if (crow_image_service(img, owner.service) == NULL)
			abort();
}

static void ask(const struct crow_image *img)
{
	uint32_t picks[CROW_PICK_SEVERAL_MAX];

	for (uint32_t i = 0; i < 8; i++) {
		const struct crow_snap_instance *instance = crow_image_instance(img, i);

		if (instance != NULL) {
			ask_owners(img, &instance->addr, instance->port);
			ask_owners(img, &instance->addr, 80);
		}
		for (size_t n = crow_pick_several(img, i, (enum crow_family)(i % 3),
						  crow_pick_point(i), picks, 4);
		     n > 0; n--)
			if (crow_image_instance(img, picks[n - 1]) == NULL)
				abort();
	}
	crow_image_find_name(img, "one.eas.internal", 16);
	crow_image_find_zone(img, "one.eas.internal", 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct crow_snap_header *header = malloc(size + 8);
	struct crow_image img;

	memcpy(header, data, size);
	if (size >= sizeof(*header)) {
		header->version = CROW_SNAP_VERSION;
		header->size = size;
		header->checksum = crow_image_checksum(
			&header->generation, size - offsetof(struct crow_snap_header, generation));
	}
	if (crow_image_init(&img, header, size) == CROW_IMAGE_OK)
		ask(&img);
	free(header);
	return 0;
}
