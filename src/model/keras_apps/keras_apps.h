/* keras_apps.h - the networks of keras.applications: a table of them, and what each consists of. */
#ifndef FILTAGS_MODEL_KERAS_APPS_KERAS_APPS_H
#define FILTAGS_MODEL_KERAS_APPS_KERAS_APPS_H

#include "model/keras_apps/app_network.h"

/* Append the configuration (JSON) that Keras would save for the network. */
FILTAGS_MUST_USE filtags_status
keras_app_write(const filtags_network *network, size_t n_classes, struct buffer *json);

/* Families, one a file. describe_...: make all layers behind the input. */
void describe_vgg16(struct app_network *network, int input, size_t n_classes);
void describe_vgg19(struct app_network *network, int input, size_t n_classes);
void describe_resnet50(struct app_network *network, int input, size_t n_classes);
void describe_resnet101(struct app_network *network, int input, size_t n_classes);
void describe_resnet152(struct app_network *network, int input, size_t n_classes);
void describe_resnet50v2(struct app_network *network, int input, size_t n_classes);
void describe_resnet101v2(struct app_network *network, int input, size_t n_classes);
void describe_resnet152v2(struct app_network *network, int input, size_t n_classes);
void describe_inception_v3(struct app_network *network, int input, size_t n_classes);
void describe_inception_resnet_v2(struct app_network *network, int input, size_t n_classes);

#endif
