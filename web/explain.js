/* explain.js */
'use strict';
