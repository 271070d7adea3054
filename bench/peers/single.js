'use strict';

require('../app')().listen(Number(process.env.PORT), '0.0.0.0');
