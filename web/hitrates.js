/* hitrates.js */
'use strict';
