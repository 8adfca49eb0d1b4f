#include "model/keras_apps/keras_apps.h"

#include <strings.h>

enum { N_IMAGENET_CLASSES = 1000 };

#define FOLDER(name) "https://storage.googleapis.com/tensorflow/keras-applications/" name "/"
#define FILE_OF(name) name "_weights_tf_dim_ordering_tf_kernels.h5"

/* name, input's height and width, preprocessing, folder of the weight file, the file, its MD5 */
#define NETWORK(name, side, mode, folder, file, md5) \
    {name, side, side, FILTAGS_PREPROCESS_##mode, N_IMAGENET_CLASSES, FOLDER(folder), FILE_OF(file), md5}

static const filtags_network NETWORKS[] = {
    NETWORK("VGG16", 224, CAFFE, "vgg16", "vgg16", "64373286793e3c8b2b4e3219cbf3544b"),
    NETWORK("VGG19", 224, CAFFE, "vgg19", "vgg19", "cbe5617147190e668d6c5d5026f83318"),
    NETWORK("InceptionV3", 299, TF, "inception_v3", "inception_v3", "9a0d58056eeedaa3f26cb7ebd46da564"),
    NETWORK("ResNet50", 224, CAFFE, "resnet", "resnet50", "2cb95161c43110f7111970584f804107"),
    NETWORK("ResNet101", 224, CAFFE, "resnet", "resnet101", "f1aeb4b969a6efcfb50fad2f0c20cfc5"),
    NETWORK("ResNet152", 224, CAFFE, "resnet", "resnet152", "100835be76be38e30d865e96f2aaae62"),
    NETWORK("ResNet50V2", 224, TF, "resnet", "resnet50v2", "3ef43a0b657b3be2300d5770ece849e0"),
    NETWORK("ResNet101V2", 224, TF, "resnet", "resnet101v2", "6343647c601c52e1368623803854d971"),
    NETWORK("ResNet152V2", 224, TF, "resnet", "resnet152v2", "a49b44d1979771252814e80f8ec446f9"),
    NETWORK("InceptionResNetV2", 299, TF, "inception_resnet_v2", "inception_resnet_v2",
            "e693bd0210a403b3192acc6073ad2e96"),
};

enum { N_NETWORKS = sizeof NETWORKS / sizeof *NETWORKS };

static void (*const DESCRIBE[N_NETWORKS])(struct app_network *network, int input, size_t n_classes) = {
    describe_vgg16,        describe_vgg19,       describe_inception_v3, describe_resnet50,
    describe_resnet101,    describe_resnet152,   describe_resnet50v2,   describe_resnet101v2,
    describe_resnet152v2,  describe_inception_resnet_v2,
};

const filtags_network *filtags_networks(size_t *n_networks) {
    *n_networks = N_NETWORKS;
    return NETWORKS;
}

const filtags_network *filtags_network_find(const char *name) {
    for (size_t i = 0; i < N_NETWORKS; i++) {
        if (strcasecmp(NETWORKS[i].name, name) == 0) return &NETWORKS[i];
    }
    return NULL;
}

filtags_status keras_app_write(const filtags_network *network, size_t n_classes, struct buffer *json) {
    struct app_network described = {0};
    int input = app_input(&described, network->height, network->width);
    DESCRIBE[network - NETWORKS](&described, input, n_classes);
    filtags_status status = app_network_write(&described, network->name, json);
    app_network_free(&described);
    return status;
}
