/* FFmpeg's own libraries driven bare: the limit that the reader is measured against.

   No FFmpeg headers are needed: the libraries inside PyAV's wheel are opened by path, and the
   few struct fields used here have kept their places from FFmpeg 5 to 8 (index and size are
   checked before anything else is believed).

   usage: bare open|probe|decode|held|rgb|quick FILE THREADS TIMES UTIL CODEC FORMAT SWSCALE
   (the last four are paths of the libraries). Does all once before the clock starts.
   prints: pictures (or packets) seen, CPU seconds spent */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    void *av_class, *iformat, *oformat, *priv, *pb;
    int ctx_flags;
    unsigned nb_streams;
    void **streams;
} Format;
typedef struct { void *av_class; int index, id; void *codecpar; } Stream;
typedef struct { void *buf; int64_t pts, dts; uint8_t *data; int size, stream_index; } Packet;
typedef struct {
    uint8_t *data[8];
    int linesize[8];
    uint8_t **extended;
    int width, height, samples, format;
} Frame;

static void *libs[4];

static void *find(const char *name) {
    for (int i = 0; i < 4; i++) {
        void *symbol = dlsym(libs[i], name);
        if (symbol) return symbol;
    }
    fprintf(stderr, "no function %s\n", name);
    exit(2);
}

#define FN(ret, name, ...) static ret (*name)(__VA_ARGS__)
FN(int, avformat_open_input, Format **, const char *, void *, void *);
FN(int, avformat_find_stream_info, Format *, void *);
FN(int, av_find_best_stream, Format *, int, int, int, void **, int);
FN(int, av_read_frame, Format *, Packet *);
FN(Packet *, av_packet_alloc, void);
FN(void, av_packet_unref, Packet *);
FN(void, av_packet_free, Packet **);
FN(void *, avcodec_alloc_context3, void *);
FN(int, avcodec_parameters_to_context, void *, void *);
FN(int, avcodec_open2, void *, void *, void *);
FN(int, avcodec_send_packet, void *, Packet *);
FN(int, avcodec_receive_frame, void *, Frame *);
FN(Frame *, av_frame_alloc, void);
FN(void, av_frame_unref, Frame *);
FN(void, av_frame_free, Frame **);
FN(void, av_frame_move_ref, Frame *, Frame *);
FN(int, av_frame_get_buffer, Frame *, int);
FN(int, av_opt_set, void *, const char *, const char *, int);
FN(int, av_get_pix_fmt, const char *);
FN(void *, sws_alloc_context, void);
FN(void, sws_freeContext, void *);
FN(int, sws_scale_frame, void *, Frame *, Frame *);
FN(void, av_log_set_level, int);
FN(void, avformat_close_input, Format **);
FN(void, avcodec_free_context, void **);

static void load(char **paths) {
    for (int i = 0; i < 4; i++)
        if (!(libs[i] = dlopen(paths[i], RTLD_NOW | RTLD_GLOBAL))) {
            fprintf(stderr, "%s\n", dlerror());
            exit(2);
        }
#define LOAD(name) name = find(#name)
    LOAD(avformat_open_input); LOAD(avformat_find_stream_info); LOAD(av_find_best_stream);
    LOAD(av_read_frame); LOAD(av_packet_alloc); LOAD(av_packet_unref); LOAD(av_packet_free);
    LOAD(avcodec_alloc_context3); LOAD(avcodec_parameters_to_context); LOAD(avcodec_open2);
    LOAD(avcodec_send_packet); LOAD(avcodec_receive_frame); LOAD(av_frame_alloc);
    LOAD(av_frame_unref); LOAD(av_frame_free); LOAD(av_frame_move_ref); LOAD(av_frame_get_buffer); LOAD(av_opt_set);
    LOAD(av_get_pix_fmt); LOAD(sws_alloc_context); LOAD(sws_freeContext); LOAD(sws_scale_frame);
    LOAD(av_log_set_level); LOAD(avformat_close_input); LOAD(avcodec_free_context);
    av_log_set_level(-8);
}

static void fail(const char *what) {
    fprintf(stderr, "%s failed\n", what);
    exit(1);
}

static void to_rgb(void *sws, Frame *frame, Frame *rgb, const char *pixels) {
    rgb->width = frame->width;
    rgb->height = frame->height;
    rgb->format = av_get_pix_fmt(pixels);
    if (av_frame_get_buffer(rgb, 0) < 0 || sws_scale_frame(sws, rgb, frame) < 0) fail("scaling");
    av_frame_unref(rgb);
}

static long run(const char *what, const char *path, const char *threads) {
    int quick = !strcmp(what, "quick"), rgb = quick || !strcmp(what, "rgb"), once = !strcmp(what, "open"), probe = !strcmp(what, "probe");
    int packets = 0; /* from here on packets are counted, not decoded */
    int hold = !strcmp(what, "held"); /* keep each picture while the next is decoded */
    Format *format = NULL;
    void *decoder = NULL;
    if (avformat_open_input(&format, path, NULL, NULL) < 0) fail("opening");
    if (avformat_find_stream_info(format, NULL) < 0) fail("stream info");
    int video = av_find_best_stream(format, 0, -1, -1, &decoder, 0);
    if (video < 0 || (unsigned)video >= format->nb_streams) fail("finding the video");
    Stream *stream = format->streams[video];
    if (stream->index != video) fail("the check of the struct layout");
    void *context = avcodec_alloc_context3(decoder);
    avcodec_parameters_to_context(context, stream->codecpar);
    av_opt_set(context, "threads", threads, 0);
    if (avcodec_open2(context, decoder, NULL) < 0) fail("opening the decoder");
    Packet *packet = av_packet_alloc();
    Frame *frame = av_frame_alloc(), *held = av_frame_alloc(), *out = av_frame_alloc();
    void *sws = sws_alloc_context();
    av_opt_set(sws, "sws_flags", quick ? "bicubic" : "bicubic+accurate_rnd+full_chroma_int", 0);
    av_opt_set(sws, "threads", "1", 0);
    long count = 0, read = 0;
    int more = 1, enough = 0;
    while (more && !enough) {
        more = av_read_frame(format, packet) >= 0;
        if (more && packet->stream_index != video) {
            av_packet_unref(packet);
            continue;
        }
        read += more;
        if (packets) {
            av_packet_unref(packet);
            continue;
        }
        avcodec_send_packet(context, more ? packet : NULL);
        av_packet_unref(packet);
        while (!enough && avcodec_receive_frame(context, frame) >= 0) {
            count++;
            if (rgb) to_rgb(sws, frame, out, quick ? "rgb24" : "gbrp");
            enough = once;
            packets = probe;
            av_frame_unref(hold ? held : frame);
            if (hold) av_frame_move_ref(held, frame);
        }
    }
    if (packets) count = read;
    sws_freeContext(sws);
    av_frame_free(&frame);
    av_frame_free(&held);
    av_frame_free(&out);
    av_packet_free(&packet);
    avcodec_free_context(&context);
    avformat_close_input(&format);
    return count;
}

int main(int argc, char **argv) {
    if (argc != 9) {
        fprintf(stderr, "usage: see the head of bare.c\n");
        return 2;
    }
    load(argv + 5);
    struct timespec start, stop;
    long count = 0;
    for (int warm = 1; warm >= 0; warm--) {
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
        count = 0;
        for (int i = atoi(argv[4]); i > 0; i--) count += run(argv[1], argv[2], argv[3]);
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &stop);
    printf("%ld %.6f\n", count, stop.tv_sec - start.tv_sec + (stop.tv_nsec - start.tv_nsec) * 1e-9);
    return 0;
}
