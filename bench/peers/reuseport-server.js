'use strict';

require('../app')().listen({ fd: 3 });
