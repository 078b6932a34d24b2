/* SPDX-License-Identifier: MIT */
/*
 * fetch_pages.c - five pages at once, each reported as soon as it is there or has failed (libcurl)
 *
 * In Python:
 *
 *     def load_url(url, timeout):
 *         with urllib.request.urlopen(url, timeout=timeout) as conn:
 *             return conn.read()
 *
 *     with concurrent.futures.ThreadPoolExecutor(max_workers=5) as executor:
 *         future_to_url = {executor.submit(load_url, url, 60): url for url in URLS}
 *         for future in concurrent.futures.as_completed(future_to_url):
 *             url = future_to_url[future]
 *             try:
 *                 data = future.result()
 *             except Exception as exc:
 *                 print('%r generated an exception: %s' % (url, exc))
 *             else:
 *                 print('%r page is %d bytes' % (url, len(data)))
 *
 *     fetch_pages [URL...]
 *
 * cc -std=c11 fetch_pages.c $(pkg-config --cflags --libs many libcurl)
 */
#define _POSIX_C_SOURCE 200809L
#include <many.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { WORKERS = 5, TIMEOUT_S = 60 };

static size_t write_page(char *data, size_t size, size_t n, void *page)
{
    return fwrite(data, size, n, page);
}

/* The task: its result is the page. */
static int load_url(const void *item, void *result, void *context)
{
    const char *url = *(const char *const *)item;
    const long *timeout_s = context;
    char reason[CURL_ERROR_SIZE] = "";
    char *text = NULL;
    size_t bytes = 0;
    FILE *page = open_memstream(&text, &bytes);
    CURL *curl = curl_easy_init();
    CURLcode status = CURLE_OUT_OF_MEMORY;
    int code;

    (void)result;
    if (page != NULL && curl != NULL) {
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, reason);
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* several threads */
        curl_easy_setopt(curl, CURLOPT_TIMEOUT, *timeout_s);
        curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L); /* 404 and the like */
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_page);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, page);
        status = curl_easy_setopt(curl, CURLOPT_URL, url);
        if (status == CURLE_OK)
            status = curl_easy_perform(curl);
    }
    curl_easy_cleanup(curl);
    if (page != NULL && fclose(page) != 0)
        status = CURLE_OUT_OF_MEMORY;
    if (status == CURLE_OK)
        code = many_reply(text, bytes);
    else
        code =
            many_fail(-(int)status, "%s", reason[0] != '\0' ? reason : curl_easy_strerror(status));
    free(text);
    return code;
}

static int report(many_future *const *futures, const char *const *urls, size_t n)
{
    many_completed *completed = NULL;
    many_future *future;
    int code = many_completed_open(&completed, futures, n);

    if (code == 0)
        while ((code = many_completed_next(completed, &future, MANY_FOREVER)) > 0) {
            ssize_t bytes = many_future_result_bytes(future);
            many_cause exception;
            size_t k = 0;

            while (futures[k] != future)
                k++;
            many_future_cause(future, &exception);
            if (bytes < 0)
                printf("'%s' generated an exception: %s\n", urls[k], exception.text);
            else
                printf("'%s' page is %zd bytes\n", urls[k], bytes);
        }
    many_completed_close(completed);
    return code;
}

static int fetch(const char *const *urls, size_t n)
{
    many_future **futures = calloc(n, sizeof(many_future *));
    many_pool *executor = NULL;
    long timeout_s = TIMEOUT_S;
    int code;

    if (futures == NULL) {
        fprintf(stderr, "fetch_pages: no memory for %zu futures\n", n);
        return -ENOMEM;
    }
    code = many_pool_open(&executor, .kind = MANY_THREADS, .workers = WORKERS);
    for (size_t k = 0; k < n && code == 0; k++)
        code = many_pool_submit(executor, load_url, &urls[k], &futures[k], .context = &timeout_s);
    if (code == 0)
        code = report(futures, urls, n);
    if (code < 0)
        fprintf(stderr, "fetch_pages: %s\n", many_error_message());
    many_pool_close(executor, MANY_FOREVER);
    for (size_t k = 0; k < n; k++)
        many_future_close(futures[k]);
    free(futures);
    return code;
}

int main(int argc, char **argv)
{
    static const char *const urls[] = {"http://www.foxnews.com/", "http://www.cnn.com/",
                                       "http://europe.wsj.com/", "http://www.bbc.co.uk/",
                                       "http://some-made-up-domain.invalid/"};
    const char *const *given = (const char *const *)argv + 1;
    int code;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        fprintf(stderr, "fetch_pages: libcurl cannot be used\n");
        return 1;
    }
    if (argc > 1)
        code = fetch(given, (size_t)argc - 1);
    else
        code = fetch(urls, sizeof urls / sizeof *urls);
    curl_global_cleanup();
    return code < 0;
}
