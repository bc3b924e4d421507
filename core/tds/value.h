/*
 * value.h - columns and values as the wire has them
 */
#pragma once

#include "core/tds/packet.h"

/* SQL_Latin1_General_CP1_CI_AS. */
extern const uint8_t tds_collation[5];

/* TYPE_INFO of a column. */
void tds_put_type(struct tds_token *token, uint32_t version, const struct tds_column *column);

/* A value in a row. One whose text does not fit its type is sent as NULL. */
void tds_send_value(struct tds_connection *connection, const struct tds_column *column, const struct tds_value *value);
