/* visualize_pictures.js - the pictures that excite a filter most, where the page has them. */
'use strict';
const pictures = (() => ({ section: () => [] }))();
