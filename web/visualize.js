/* visualize.js */
'use strict';
