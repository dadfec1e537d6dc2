// Copyright (c) 2026 swarm.node contributors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
//
// Numbers and strings. The strto* and scanf families are avoided on purpose: a newer glibc redirects
// them to symbols an older one lacks, and the library must run on nodes older than its builder.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

static int digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return 99;
}

// Reads the digits at *text in the given base and moves *text past them; 0 if there are none.
static int digits(const char **text, int base, unsigned long long *value)
{
    const char *cursor = *text;
    unsigned long long sum = 0;
    while (digit(*cursor) < base)
        sum = sum * (unsigned long long)base + (unsigned long long)digit(*cursor++);
    if (cursor == *text)
        return 0;
    *text = cursor;
    *value = sum;
    return 1;
}

// A whole text that is one number, decimal or 0x...; 0 if it is anything else.
int sim_number(const char *text, unsigned long long *value)
{
    int base = 10;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    return digits(&text, base, value) && *text == '\0';
}

int sim_hexadecimal(const char **text, unsigned long long *value)
{
    return digits(text, 16, value);
}

// Is the number in a list such as "0-3,8,12-15"?
int sim_in_list(const char *list, unsigned long long wanted)
{
    unsigned long long first, last;
    while (digits(&list, 10, &first)) {
        last = first;
        if (*list == '-') {
            list++;
            if (!digits(&list, 10, &last))
                return 0;
        }
        if (wanted >= first && wanted <= last)
            return 1;
        if (*list != ',')
            return 0;
        list++;
    }
    return 0;
}

// The numbers of a text such as "2619 1593"; returns how many were stored.
unsigned int sim_numbers(const char *text, unsigned int *values, unsigned int room)
{
    unsigned int count = 0;
    unsigned long long value;
    while (count < room) {
        while (*text == ' ')
            text++;
        if (!digits(&text, 10, &value))
            break;
        values[count++] = (unsigned int)value;
    }
    return count;
}

// The word of a text with the given number, at most size - 1 bytes of it; "" if there is none.
void sim_word(const char *text, unsigned int number, char *word, size_t size)
{
    size_t length;
    while (number > 0 && *text != '\0') {
        text += strcspn(text, " ");
        text += *text == ' ';
        number--;
    }
    length = strcspn(text, " ");
    length = length < size ? length : size - 1;
    memcpy(word, text, length);
    word[length] = '\0';
}

// Hands a string out in the way of NVML: nothing is cut, a short buffer is an error.
nvmlReturn_t sim_copy(const char *text, char *buffer, unsigned int length)
{
    if (buffer == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (strlen(text) + 1 > length)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    memcpy(buffer, text, strlen(text) + 1);
    return NVML_SUCCESS;
}

void sim_format(char *buffer, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(buffer, size, format, arguments);
    va_end(arguments);
}
